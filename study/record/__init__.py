"""The record of a study: one database, written by the Ledger, read by the Reader."""
