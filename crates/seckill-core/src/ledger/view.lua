-- Reads a sale, with the clock that opens and ends it, and with whether it can be trusted.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox
-- ARGV  none
-- Result: {"absent"}, or
--   {"trusted" or "untrusted", now ms, orders known, entries in the outbox, ms of the oldest entry or "",
--    field, value... of the sale}

assert(#KEYS == 4 and #ARGV == 0, 'view: bad arity')
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return { 'absent' } end
local trust = 'untrusted'
-- Counted, not only looked for: what is not of its kind is an error here, and no sale that can be trusted.
if stands(unpack(redis.call('HMGET', KEYS[1], 'fence', 'replid')))
  and redis.call('HLEN', KEYS[2]) > 0 and redis.call('EXISTS', KEYS[3], KEYS[4]) == 2 then
  trust = 'trusted'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Orders and outbox hold one sentinel each; the outbox's is its first.
local oldest = redis.call('ZRANGE', KEYS[4], 1, 1, 'WITHSCORES')[2] or ''
return { trust, string.format('%.0f', now), redis.call('HLEN', KEYS[3]) - 1, redis.call('ZCARD', KEYS[4]) - 1,
  oldest, unpack(fields) }
