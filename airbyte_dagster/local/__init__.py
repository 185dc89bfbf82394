"""Local Airbyte: a server that speaks Airbyte's public API and runs real connectors.

A house of its own: nothing here imports the rest of the package, and the rest talks to it over HTTP. Imports run in
this order only::

    settings → options (of commands), problems, engine (the protocol), records, quartz, joblogs, isolation
    configuration, streams, plan, definitions, instance, views → pages (pure)
    store → jobstore, statestore, tagstore
    children → environments → cache, answers, manifests → connectors → workers (the engine), which run work/
    definitions → declarative
    jobs → schedules → deps, schemas → routes → guard, app → server → overview, cli

Importing this package loads none of it.
"""
