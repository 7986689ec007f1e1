# postgres on a UNIX socket alone, and pgbench that talks with it again and again, in one tree. sh pgbench.sh GO DIR BIN (owned by who runs it)
PGHOST=$2 PGUSER=postgres PATH=$3:$PATH
export PGHOST PGUSER PATH
postgres -D "$2/data" -c listen_addresses= -c unix_socket_directories="$2" -c fsync=off -c autovacuum_naptime=1 2>"$2/log" &
server=$!
until psql -Atqc 'select 1' >/dev/null 2>&1; do sleep 0.1; done
pgbench -i -s 2 -q 2>/dev/null || { echo 'FAIL: pgbench -i'; exit 1; }
done=0
while [ ! -e "$1" ]; do
  pgbench -n -c 4 -j 2 -t 50 >"$2/pgbench" 2>&1 || { echo "FAIL: $(cat "$2/pgbench")"; exit 1; }
  done=$((done + 200))
  echo $done
done
sums=$(psql -Atqc "select count(*), sum(delta), (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),
  (select sum(bbalance) from pgbench_branches) from pgbench_history")
echo "sums $sums"
psql -Atqc 'create extension amcheck' && pg_amcheck --heapallindexed --parent-check --all || echo 'FAIL: pg_amcheck'
grep -E 'PANIC|FATAL|ERROR|terminated' "$2/log" | grep -v 'the database system is starting up' | sed 's/^/FAIL: /'
# Whoever is at work then, autovacuum every second, ends with FATAL.
kill -INT $server
wait $server || echo "FAIL: postgres ended with $?"
grep PANIC "$2/log" | sed 's/^/FAIL: /'
echo EXIT-SUCCESS
