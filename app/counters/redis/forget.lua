-- Forgets the writer of an import that arrived whole.
--
-- ARGV: the writer.

redis.call('HDEL', KEYS[8], ARGV[1])
redis.call('ZREM', KEYS[9], ARGV[1])
redis.call('HDEL', KEYS[10], ARGV[1])
return 0
