"""The ledger around Ray Data: parts, leases, attempts, quarantine, and the pool that works them off."""
