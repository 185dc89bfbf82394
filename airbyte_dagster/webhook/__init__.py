"""A receiver of the notices that Airbyte posts when a sync ends.

Its modules build on each other in this order: `secret`, `notice`, `background`, `app`, `posting`, `address`,
`recorder`, `receiver`; then `registration`, which sets the address in Airbyte, and `serving`.
"""

from airbyte_dagster.webhook.receiver import build_webhook_app

__all__ = ["build_webhook_app"]
