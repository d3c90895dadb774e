-- Reads a sale, with the clock that opens and ends it, if it can be trusted.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox
-- ARGV  none
-- Result: {"absent"}, {"untrusted"}, or
--   {"trusted", now ms, orders known, entries in the outbox, ms of the oldest entry or "", field, value... of the sale}

assert(#KEYS == 4 and #ARGV == 0, 'view: bad arity')
-- A key may be lost, or somebody else's.
local function is_a(kind, key) return redis.call('TYPE', key).ok == kind end

if is_a('none', KEYS[1]) then return { 'absent' } end
if not (is_a('hash', KEYS[1]) and is_a('hash', KEYS[2]) and is_a('hash', KEYS[3]) and is_a('zset', KEYS[4]))
  or not stands(unpack(redis.call('HMGET', KEYS[1], 'fence', 'replid'))) then
  return { 'untrusted' }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Orders and outbox hold one sentinel each; the outbox's is its first.
local oldest = redis.call('ZRANGE', KEYS[4], 1, 1, 'WITHSCORES')[2] or ''
return { 'trusted', string.format('%.0f', now), redis.call('HLEN', KEYS[3]) - 1, redis.call('ZCARD', KEYS[4]) - 1,
  oldest, unpack(redis.call('HGETALL', KEYS[1])) }
