"""Sources of requisites by ИНН: one file each, one entry point in `crm1c.requisites` each."""
