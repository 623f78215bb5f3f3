"""The Iceberg store: the only code that talks to catalogs and reads or writes lake files."""
