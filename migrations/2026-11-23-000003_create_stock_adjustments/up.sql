-- Every change that an operator (or the keeper) made to a sale: who, why, and by how many units.
-- The id is the number of the adjustment; the ledger remembers the last one it applied.
CREATE TABLE IF NOT EXISTS stock_adjustments (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sale_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
    delta BIGINT NOT NULL,
    reason VARCHAR(500) NOT NULL,
    actor VARCHAR(128) NOT NULL,
    at DATETIME(3) NOT NULL,
    KEY stock_adjustments_sale (sale_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
