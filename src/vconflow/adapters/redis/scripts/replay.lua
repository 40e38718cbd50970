-- Move dead letters back to their list; each goes on where it stopped, or begins anew.
-- header: {dead key, stream key, from start, items, journal, record arg}
-- item: {id, meta key, document key, history key}
local dead, stream, from_start, moved = KEYS[header[1]], KEYS[header[2]], header[3], 0
for _, item in ipairs(header[4]) do
  local id, meta = item[1], KEYS[item[2]]
  local found, held = redis.call('XRANGE', dead, id, id)[1], {}
  if found then
    for i = 1, #found[2], 2 do held[found[2][i]] = found[2][i + 1] end
  end
  -- Without a uuid nothing can be processed: what a stranger wrote stays here, where it is seen.
  if (held['uuid'] or '') ~= '' and is_type(stream, 'stream') then
    -- Of a deleted vCon there is nothing to begin anew: its copies are still to be removed.
    local progress = held['progress'] or ''
    if from_start and not string.find(progress, '"deleted":true', 1, true) then progress = '' end
    redis.call('XADD', stream, '*', 'uuid', held['uuid'], 'at', integer(now_ms), 'origin', 'replay',
      'trace', held['trace'] or '', 'progress', progress)
    announce(stream)
    redis.call('XDEL', dead, id)
    -- A letter of an earlier life of the uuid was not counted in this one; its entry is.
    if is_type(meta, 'hash') and redis.call('HEXISTS', meta, 'rev') == 1
      and redis.call('HEXISTS', meta, 'deleted') == 0
      and not is_counted(meta, 'open', held['entry'] or id) then
      redis.call('HINCRBY', meta, 'open', 1)
      -- This life may be over already, and its document about to go.
      redis.call('PERSIST', KEYS[item[3]])
      redis.call('PERSIST', meta)
    end
    remember(header[5], KEYS[item[4]], held['uuid'], ARGV[header[6]])
    moved = moved + 1
  end
end
return moved
