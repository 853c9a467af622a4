"""One build of the warehouse: from raw tables to a published release."""
