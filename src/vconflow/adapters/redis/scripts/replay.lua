-- Move dead letters back to their list; each goes on where it stopped.
-- header: {dead key, stream key, items}; item: {id, meta key}
local dead, stream, moved = KEYS[header[1]], KEYS[header[2]], 0
for _, item in ipairs(header[3]) do
  local id, meta = item[1], KEYS[item[2]]
  local found = redis.call('XRANGE', dead, id, id)
  if found[1] and is_type(stream, 'stream') then
    local held = {}
    for i = 1, #found[1][2], 2 do held[found[1][2][i]] = found[1][2][i + 1] end
    redis.call('XADD', stream, '*', 'uuid', held['uuid'] or '', 'at', integer(now_ms), 'origin', 'replay',
      'trace', held['trace'] or '', 'progress', held['progress'] or '')
    redis.call('XDEL', dead, id)
    -- A letter of an earlier life of the uuid was not counted in this one; its entry is.
    if is_type(meta, 'hash') and redis.call('HEXISTS', meta, 'rev') == 1
      and redis.call('HEXISTS', meta, 'deleted') == 0
      and not is_counted(meta, held['entry'] or id) then
      redis.call('HINCRBY', meta, 'open', 1)
    end
    moved = moved + 1
  end
end
return moved
