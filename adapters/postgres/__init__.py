"""PostgreSQL: embedded or given, migrations, and the records of every domain."""
