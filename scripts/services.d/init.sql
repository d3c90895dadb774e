-- Run by MariaDB at every native start, before the first connection, and by the mysql container once.
-- One statement a line, which is how a server reads its init file. Tests make databases of their own,
-- named seckill_….
CREATE DATABASE IF NOT EXISTS seckill CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'seckill'@'%' IDENTIFIED BY 'seckill';
GRANT ALL PRIVILEGES ON `seckill`.* TO 'seckill'@'%';
GRANT ALL PRIVILEGES ON `seckill\_%`.* TO 'seckill'@'%';
