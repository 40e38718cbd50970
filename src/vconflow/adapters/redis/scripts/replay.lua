-- Move dead letters back to their list; each goes on where it stopped.
-- header: {dead key, stream key, ids}
local dead, stream, moved = KEYS[header[1]], KEYS[header[2]], 0
for _, id in ipairs(header[3]) do
  local found = redis.call('XRANGE', dead, id, id)
  if found[1] and is_type(stream, 'stream') then
    local held = {}
    for i = 1, #found[1][2], 2 do held[found[1][2][i]] = found[1][2][i + 1] end
    redis.call('XADD', stream, '*', 'uuid', held['uuid'], 'at', integer(now_ms), 'origin', 'replay',
      'trace', held['trace'] or '', 'progress', held['progress'] or '')
    redis.call('XDEL', dead, id)
    moved = moved + 1
  end
end
return moved
