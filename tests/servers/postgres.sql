-- What the stories read. `people` carries canaries: values that must never be seen outside the source. Each holds the word
-- CANARY in its own classified column, so that one search over everything the product writes finds any leak.
CREATE DATABASE chunks;
\c chunks
CREATE TABLE people (
  id         bigint PRIMARY KEY,
  full_name  text,
  email      text,
  ssn        text,
  city       text,
  birthday   date,
  balance    numeric(12, 2),
  notes      text,
  created_at timestamptz NOT NULL
);
INSERT INTO people
SELECT i,
       'Canaryname' || md5('n' || i),
       'canarymail' || md5('e' || i) || '@canary.example',
       'CANARYSSN' || md5('s' || i),
       (ARRAY['Lisbon', 'Oslo', 'Prague', 'Turin', 'Utrecht', 'Vienna'])[1 + i % 6],
       date '1950-01-01' + (i % 20000)::int,
       (i % 100000) * 1.25,
       CASE WHEN i % 10 = 0 THEN 'call back at canarynote' || i || '@canary.example soon' ELSE 'nothing to note' END,
       timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second'
FROM generate_series(1, 1000000) i;

CREATE TABLE orders (
  order_id  bigint PRIMARY KEY,
  person_id bigint NOT NULL,
  ssn       text,
  amount    numeric(12, 2) NOT NULL,
  placed_at timestamptz NOT NULL
);
INSERT INTO orders
SELECT i, 1 + i % 1000, 'CANARYSSN' || md5('s' || (1 + i % 1000)), (i % 5000) * 0.5, timestamptz '2026-02-01 00:00:00Z' + i * interval '1 minute'
FROM generate_series(1, 20000) i;

CREATE TABLE small (id bigint PRIMARY KEY, label text NOT NULL, amount double precision);
INSERT INTO small SELECT i, 'label-' || i, i * 0.5 FROM generate_series(1, 1000) i;

ANALYZE;
CREATE ROLE broker_ro LOGIN PASSWORD 'reader-password' CONNECTION LIMIT 100;
ALTER ROLE broker_ro SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE chunks TO broker_ro;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO broker_ro;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO broker_ro;
