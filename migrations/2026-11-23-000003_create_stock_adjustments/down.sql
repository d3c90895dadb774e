DROP TABLE IF EXISTS stock_adjustments;
