"""Reading the registry of an MLflow server or database."""
