"""What destinations make of the name of a stream or a column. Each function says where the fact is from."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from string import ascii_lowercase, ascii_uppercase

#: Makes the name of a table or a column of a name of the source.
Normaliser = Callable[[str], str]

_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_POSTGRES_LENGTH = 63
_DIGITS_OF_A_DIGEST = 8
_REDSHIFT_LENGTH = 127
_DATABRICKS_LENGTH = 255
_MYSQL_LENGTH = 44
_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def motherduck(name: str) -> str:
    r"""Lower-case ASCII letters, keep letters and digits of any script, put ``_`` for the rest and before a digit.

    destination-motherduck's own normaliser, for tables and columns alike (airbytehq/airbyte pull requests 60906 and
    70438). ``Größe (cm)`` becomes ``größe__cm_``.
    """
    kept = "".join(char if char.isalnum() else "_" for char in name.translate(_ASCII_LOWER))
    return _after_digit(kept)


def postgres(name: str) -> str:
    """Keep the case; strip accents; ``_`` for what is no ASCII letter or digit then; cut with a digest.

    destination-postgres 3 (``PostgresNamingUtils.kt``, ``toPostgresCompatibleName``): more than 63 characters become
    54, ``_`` and the last 8 digits of Java's ``hashCode``.
    """
    kept = _after_digit(_alphanumeric(name))
    if len(kept) <= _POSTGRES_LENGTH:
        return kept
    return f"{kept[:54]}_{str(_java_hash(kept))[-8:]}"


def postgres_before_3(name: str) -> str:
    """As `postgres`, but no ``_`` before a digit, and cut otherwise.

    destination-postgres 2 (``PostgresSQLNameTransformer.kt``, ``truncate``): 60 characters or more become 52 and Java's
    ``hashCode`` to the base 36.
    """
    kept = _alphanumeric(name)
    return f"{kept[:52]}{_to_base_36(abs(_java_hash(kept)))}" if len(kept) >= 60 else kept  # noqa: PLR2004


def snowflake(name: str) -> str:
    """Upper-case, and nothing else; ``_`` for the signs of ``${…}``.

    destination-snowflake 4 (``SnowflakeNamingUtils.kt``, ``toSnowflakeCompatibleName``), for all names.
    """
    return (re.sub(r"[${}]", "_", name) if "${" in name else name).upper()


def bigquery(name: str) -> str:
    """Keep the case; strip accents; ``_`` for what is no ASCII letter or digit then, and before a digit.

    destination-bigquery (``BigQuerySQLNameTransformer.kt``, ``convertStreamName``), for tables and columns;
    destination-clickhouse 2 (``ClickhouseNamingUtils.kt``, ``toClickHouseCompatibleName``), for databases, too.
    """
    return _after_digit(_alphanumeric(name))


def bigquery_dataset(name: str) -> str:
    """As `bigquery`, but a digit may come first, and ``n`` is put before an underscore: such datasets are hidden.

    destination-bigquery (``BigQuerySQLNameTransformer.kt``, ``getNamespace``; ``NAMESPACE_PREFIX`` of
    ``BigQueryConsts.kt``). What stands before a colon is the project.
    """
    kept = _alphanumeric(name.rpartition(":")[2])
    return kept if kept[:1].isalnum() else f"n{kept}"


def redshift(name: str) -> str:
    """As `bigquery`, lower-case; more than 127 characters become 118, ``_`` and a hash.

    destination-redshift 4 (``RedshiftNamingUtils.kt``, ``toRedshiftCompatibleName``), for schemas, tables and columns.
    """
    kept = _after_digit(_alphanumeric(name).lower())
    if len(kept) <= _REDSHIFT_LENGTH:
        return kept
    return f"{kept[:118]}_{f'{_java_hash(kept) & 0xFFFFFFFF:x}'[-8:]}"


def alphanumeric_lower(name: str) -> str:
    """Lower-case; strip accents; ``_`` for what is no ASCII letter or digit then.

    destination-redshift before 4 (``RedshiftSQLNameTransformer.kt``) and destination-databricks before 4
    (``DatabricksNamingTransformer.kt``).
    """
    return _alphanumeric(name).lower()


def databricks(name: str) -> str:
    """As `bigquery`, lower-case; more than 255 characters become 246, ``_`` and the last 8 digits of a hash.

    destination-databricks 4 (``DatabricksNamingUtils.kt``, ``toDatabricksCompatibleNameLowercase``), for schemas and
    tables; columns keep their case.
    """
    kept = _after_digit(_alphanumeric(name))
    if len(kept) > _DATABRICKS_LENGTH:
        kept = f"{kept[:246]}_{str(_java_hash(kept))[-8:]}"
    return kept.lower()


def mysql(name: str) -> str:
    """As `alphanumeric_lower`; more than 44 characters become their first 21, ``__``, and their last 21.

    destination-mysql 1 (``MySQLNameTransformer.kt``, ``getIdentifier`` and ``truncateName``), for databases, tables and
    columns.
    """
    kept = alphanumeric_lower(name)
    return kept if len(kept) <= _MYSQL_LENGTH else f"{kept[:21]}__{kept[-21:]}"


def local_schema(name: str) -> str:
    """``_`` for what is no ASCII letter, digit or underscore, and before a digit.

    The schema that local Airbyte writes a namespace to; Airbyte's own destination-motherduck takes none.
    """
    return _after_digit(re.sub(r"[^A-Za-z0-9_]", "_", name))


def as_it_is(name: str) -> str:
    """Return the name itself."""
    return name


def raw_records(name: str) -> str:
    """``_airbyte_raw_NAME``: a table of JSON records.

    Airbyte's older destination-duckdb (``DestinationDuckdb.write``) writes no other.
    """
    return f"_airbyte_raw_{name}"


def digested(name: str, normalise: Normaliser) -> str:
    """Return the column of a name that shares its normal form with another of the same stream.

    Local Airbyte's own way to keep both (``columns.distinct_columns``).
    """
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGITS_OF_A_DIGEST]
    return f"{normalise(name)[: _POSTGRES_LENGTH - _DIGITS_OF_A_DIGEST - 1]}_{digest}"


def distinct_column_names(name: str) -> Iterator[str]:
    """Yield what the column of a field is called only if it is that field's, and no other's of a similar name."""
    for normalise in (motherduck, postgres):
        yield digested(name, normalise)


def column_names(name: str) -> Iterator[str]:
    """Yield what the column of a field may be called in a table of any destination."""
    for normalise in (
        as_it_is,
        motherduck,
        postgres,
        postgres_before_3,
        snowflake,
        redshift,
        databricks,
        mysql,
    ):
        yield normalise(name)


def _after_digit(name: str) -> str:
    return f"_{name}" if name[:1].isascii() and name[:1].isdigit() else name


def _alphanumeric(name: str) -> str:
    """``Transformations.toAlphanumericAndUnderscore`` of Airbyte's CDK."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", name) if unicodedata.category(char)[0] != "M")
    return re.sub(r"[^A-Za-z0-9_]", "_", re.sub(r"[ \t\n\x0b\f\r]+", "_", plain))


def _java_hash(text: str) -> int:
    """``String.hashCode`` of ASCII text: 32 bits with a sign."""
    found = 0
    for char in text:
        found = (found * 31 + ord(char)) & 0xFFFFFFFF
    return found - (1 << 32) if found >= 1 << 31 else found


def _to_base_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE_36[digit] + digits
    return digits or "0"
