-- What a result is to others. Results stored before have neither.

ALTER TABLE results ADD COLUMN outcome TEXT; -- 'skipped' or 'cancelled': no success, but no failure either
ALTER TABLE results ADD COLUMN chain TEXT;   -- the client's name for the builds that this one was made with
CREATE INDEX results_chain ON results (chain, id) WHERE chain IS NOT NULL;
