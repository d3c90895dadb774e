-- Cancelled and rejected orders whose units the ledger has not been told to take back yet.
-- Written with the order's change in one transaction, deleted once the ledger has done it.
CREATE TABLE IF NOT EXISTS stock_returns (
    order_id BINARY(16) NOT NULL PRIMARY KEY,
    sale_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
