-- What tells this catalog from every other, wherever it lies: the name that Leases are held in.
ALTER TABLE leader ADD COLUMN identity TEXT;
UPDATE leader SET identity = lower(hex(randomblob(8)));
