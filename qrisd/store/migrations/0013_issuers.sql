-- Who issued the account or wallet that paid, in the provider's words: some providers refund only some issuers' payers.
ALTER TABLE attempts ADD COLUMN issuer TEXT;
