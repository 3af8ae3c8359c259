-- On PostgreSQL's first start: a database and a user of its own for Airflow and for the store of tablewatch. Neither
-- user can connect to the other's.
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv tablewatch_password TABLEWATCH_DB_PASSWORD

CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE DATABASE airflow OWNER airflow;
REVOKE ALL ON DATABASE airflow FROM PUBLIC;

CREATE ROLE tablewatch LOGIN PASSWORD :'tablewatch_password';
CREATE DATABASE tablewatch OWNER tablewatch;
REVOKE ALL ON DATABASE tablewatch FROM PUBLIC;
