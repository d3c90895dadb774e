-- Applies a numbered change of a sale's stock and switch; a number that is not new does nothing.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox
-- ARGV  1 number  2 stock, in all  3 state: open, paused or closed
--       4 units that must be held at that moment, or "" for any
-- Result, one of
--   {"absent"}, {"untrusted"}
--   {"stale", number}        the ledger has applied this number or a later one
--   {"short", held}          the stock would be less than what live orders hold
--   {"moved", held}          not as many units are held as ARGV 4 says
--   {"applied", remaining}

assert(#KEYS == 4 and #ARGV == 4, 'adjust: bad arity')
local SALE = KEYS[1]

local sale = redis.call('HMGET', SALE, 'fence', 'replid', 'state', 'stock', 'remaining', 'adjustment')
local why = doubt(sale[1], sale[2], sale[3], there(KEYS[2], KEYS[3], KEYS[4]))
if why then return { why } end

local number, stock = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = tonumber(sale[4]) - tonumber(sale[5])
if number <= tonumber(sale[6]) then return { 'stale', tonumber(sale[6]) } end
if ARGV[4] ~= '' and tonumber(ARGV[4]) ~= held then return { 'moved', held } end
if stock < held then return { 'short', held } end

redis.call('HSET', SALE, 'stock', ARGV[2], 'remaining', string.format('%.0f', stock - held),
  'adjustment', ARGV[1], 'state', ARGV[3])
return { 'applied', stock - held }
