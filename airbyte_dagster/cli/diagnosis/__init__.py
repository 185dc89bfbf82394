"""What ``airbyte-dagster doctor`` looks at.

Its modules build on each other in this order: `findings`; then `variables`, `tokens`, `places` and `roles`, which judge
what they are given; then `loading`, `airbyte`, `warehouses` and `pipelines`, which ask.
"""
