-- Store one vCon unless a newer revision of it is there.
-- KEYS: the document, its revision. ARGV: document, revision, seconds to keep both (0 = for ever).
-- A document without a revision was written by the reference: anything of ours is newer.
local held = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('GET', KEYS[2])
if held and tonumber(held) > tonumber(ARGV[2]) then
    return 0
end
if ARGV[3] == '0' then
    redis.call('SET', KEYS[1], ARGV[1])
    redis.call('SET', KEYS[2], ARGV[2])
else
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
    redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
end
return 1
