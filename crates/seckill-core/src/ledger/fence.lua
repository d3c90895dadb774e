-- The fence, in front of every script that asks for it.
--
-- A sale is trusted on the server that verified it (`fence`, a run_id), in the history of writes that it went on with
-- then (`replid`, a master_replid). A restart, and another server, have another run_id. A primary that was demoted,
-- was given the data of its successor and is promoted again has not: it goes on with another history.

local here = redis.call('INFO', 'server', 'replication')

-- Whether these are the ones of now. Looked for as they stand there: a pattern would cost as much as all the rest that
-- a call does once. A sale of before there was `replid` has none.
local function stands(fence, replid)
  return fence and here:find('run_id:' .. fence .. '\r\n', 1, true)
    and (not replid or here:find('master_replid:' .. replid .. '\r\n', 1, true))
end

-- Whether all these keys are there. Whoever writes keeps a sentinel in each key of a sale: one that is not there was lost.
local function there(...) return redis.call('EXISTS', ...) == select('#', ...) end

-- Why nothing may be decided of a sale, or nil if it can be trusted: `others_there` says whether its keys are `there`
-- beside the first.
local function doubt(fence, replid, state, others_there)
  if not fence and not state then return 'absent' end
  if not stands(fence, replid) or not others_there then return 'untrusted' end
end
