-- A study as format 1 was first written; never change this file.
pragma application_id = 1633907811;
pragma user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE study (name text primary key, value text not null) without rowid;
INSERT INTO "study" VALUES('configuration','{"seed": 7, "metric": "score", "final_metric": "score", "strategy": {"name": "random", "space": "binary(unary(x),unary(x))"}, "objective": {"function": "mine:objective"}}');
INSERT INTO "study" VALUES('goal','{"trials": 4, "finalists": 1, "repeats": 2}');
CREATE TABLE trials (
    stage text not null,
    number integer not null,
    expression text not null,
    proposed text not null,
    origin text not null,
    seed integer not null,
    configuration text not null,
    status text not null check (status in ('open', 'done', 'diverged', 'failed', 'timed out')),
    metrics text not null,
    epochs text not null,
    started real not null,
    seconds real not null,
    device text not null,
    versions text not null,
    message text not null,
    primary key (stage, number)
) without rowid;
INSERT INTO "trials" VALUES('final',0,'relu(x)','relu(x)','{"baseline": "ReLU"}',21,'{"function": "mine:objective"}','done','{"score": 0.75}','[]',1750000000.0,2.0,'cpu','{"python": "3.11.7", "actc": "0.1.0", "torch": "2.13.0"}','');
INSERT INTO "trials" VALUES('search',0,'x*erfc(x)','x*erfc(x)','{"index": 1576}',11,'{"function": "mine:objective"}','done','{"score": 0.875}','[{"loss": 1.5}, {"loss": 0.5}]',1750000000.0,2.5,'cpu','{"python": "3.11.7", "actc": "0.1.0", "torch": "2.13.0"}','');
INSERT INTO "trials" VALUES('search',1,'exp(x) - x','exp(x) - x','{"index": 900}',12,'{"function": "mine:objective"}','diverged','{"score": {"float": "nan"}}','[{"loss": {"float": "inf"}}]',1750000000.0,0.5,'cpu','{"python": "3.11.7", "actc": "0.1.0", "torch": "2.13.0"}','the loss became inf in epoch 1');
INSERT INTO "trials" VALUES('search',2,'sinh(x)','sinh(x)','{"index": 901}',13,'{"function": "mine:objective"}','failed','{}','[]',1750000000.0,0.5,'cpu','{"python": "3.11.7", "actc": "0.1.0", "torch": "2.13.0"}','Traceback (most recent call last):
ValueError: it''s broken');
INSERT INTO "trials" VALUES('search',3,'atan(x)*x','atan(x)*x','{"index": 902}',14,'{"function": "mine:objective"}','open','{}','[]',0.0,0.0,'','{}','');
COMMIT;
