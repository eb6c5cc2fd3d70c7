"""What Alembic runs: the steps, on the connection that `migrate` or `__main__` hands in."""

from alembic import context

from forewarn_collector.state.tables import metadata

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    render_item=attributes.get("render_item"),
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
