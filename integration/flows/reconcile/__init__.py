"""The reconciliation: 1C, the ledger, the CRM and the bank compared, part by part, each of which can be broken off."""
