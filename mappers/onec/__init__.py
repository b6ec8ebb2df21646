"""1C dialects: the OData grammar and one file a configuration."""
