DROP TABLE IF EXISTS stock_returns;
