PASSWORD=$(sed -n 's/.*"user":"@WRITER@","password":"\([^"]*\)".*/\1/p' @CREDENTIALS_FILE@)
curl -sS -u "@WRITER@:$PASSWORD" -H 'Content-Type: application/x-ndjson' -H "Idempotency-Key: first-ten" @INGEST@/v1/ingest/events --data-binary @- <<'NDJSON'
{"event_id":"e-01","ts":"2026-01-05T09:00:00Z","user_id":1,"kind":"view","amount":null}
{"event_id":"e-02","ts":"2026-01-05T09:00:10Z","user_id":1,"kind":"click","amount":null}
{"event_id":"e-03","ts":"2026-01-05T09:01:00Z","user_id":1,"kind":"buy","amount":25.5}
{"event_id":"e-04","ts":"2026-01-05T09:02:00Z","user_id":2,"kind":"view"}
{"event_id":"e-05","ts":"2026-01-05T09:03:00Z","user_id":2,"kind":"buy","amount":-3}
{"event_id":"e-06","ts":"2026-01-06T10:00:00Z","user_id":3,"kind":"view"}
{"event_id":"e-07","ts":"2026-01-06T10:00:30Z","user_id":3,"kind":"wave"}
{"event_id":"e-08","ts":"2026-01-06T10:01:00Z","user_id":3,"kind":"click"}
{"event_id":"e-09","ts":"2026-01-06T10:02:00Z","user_id":3,"kind":"buy","amount":10}
{"event_id":"e-10","ts":"2026-01-06T10:03:00Z","user_id":4,"kind":"view"}
NDJSON
# within seconds all of it is in gold
for second in $(seq 60); do @LAKEGATE@ sql --credentials @CREDENTIALS_FILE@ --user @WRITER@ -c "SELECT day FROM gold.events_by_kind" 2>&1 | grep -q 2026-01-06 && break; sleep 1; done
# what was set aside and why, then what was counted
@LAKEGATE@ sql --credentials @CREDENTIALS_FILE@ --user @WRITER@ -c "SELECT rule, reason, payload FROM system.rejects ORDER BY ingest_id; SELECT day, kind, events, amount FROM gold.events_by_kind ORDER BY day, kind"
