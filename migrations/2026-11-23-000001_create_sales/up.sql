-- A sale: its terms, what of it is sold, and how far adjustments and rebuilds have come.
--
-- The CHECK is the last wall behind "never oversell": no statement, ours or an operator's by hand,
-- can commit a sale that has sold more than its stock.
CREATE TABLE IF NOT EXISTS sales (
    id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    title VARCHAR(200) NOT NULL,
    stock BIGINT NOT NULL,
    sold BIGINT NOT NULL DEFAULT 0,
    per_buyer_limit BIGINT NULL,
    opens_at DATETIME(3) NULL,
    closes_at DATETIME(3) NULL,
    state VARCHAR(16) NOT NULL DEFAULT 'open',
    adjustment BIGINT NOT NULL DEFAULT 0,
    epoch BIGINT NOT NULL DEFAULT 0,
    rebuild_epoch BIGINT NOT NULL DEFAULT 0,
    created_date DATETIME(3) NOT NULL,
    update_date DATETIME(3) NOT NULL,
    CONSTRAINT sales_never_oversold CHECK (sold >= 0 AND sold <= stock)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
