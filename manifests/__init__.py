"""What is recorded: ids, schemas, tables, queries, expectations and the dataset card."""
