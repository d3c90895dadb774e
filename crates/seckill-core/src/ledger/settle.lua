-- Takes out of the outbox the orders whose events are in the order log.
--
-- KEYS  1 sale  2 outbox
-- ARGV  1 epoch in which they were reserved, then their ids
-- Result: how many were taken out
--
-- An acknowledgement from before a rebuild says nothing of an order that was taken anew since.

assert(#KEYS == 2 and #ARGV > 1, 'settle: bad arity')
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('ZREM', KEYS[2], unpack(ARGV, 2))
