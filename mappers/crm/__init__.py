"""CRM dialects, one file a vendor."""
