BEGIN TRANSACTION;
CREATE TABLE consents (
	token_sha256 VARCHAR(64) NOT NULL, 
	plan_sha256 VARCHAR(64) NOT NULL, 
	conversation_id VARCHAR(64) NOT NULL, 
	expires FLOAT NOT NULL, 
	used FLOAT, 
	PRIMARY KEY (token_sha256)
);
INSERT INTO "consents" VALUES('fc29ffd89a571fd30a7503e0b5290bbfc5b8b8469f4996fcb43f290d50a527a8','4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945','0123456789abcdef0123456789abcdef',1.79583684649452257151e+09,NULL);
CREATE TABLE conversations (
	id VARCHAR(64) NOT NULL, 
	model_id VARCHAR(64), 
	job_id VARCHAR(64), 
	created FLOAT NOT NULL, 
	updated FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "conversations" VALUES('0123456789abcdef0123456789abcdef','42816b5c527896ef797aed4f9d80ed1f9f2b7fda354749edbd0c38c9e2bc6690','tune-20261128-f1ca4e',1.79583594648504137991e+09,1.79583594649273061748e+09);
CREATE TABLE job_events (
	job_id VARCHAR(64) NOT NULL, 
	seq INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (job_id, seq), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "job_events" VALUES('tune-20261128-f1ca4e',1,'{"kind": "state", "attempt": 1, "state": "queued"}',1.79583594637442684176e+09);
INSERT INTO "job_events" VALUES('tune-20261128-f1ca4e',2,'{"kind": "state", "attempt": 1, "state": "running"}',1.79583594638875889779e+09);
INSERT INTO "job_events" VALUES('tune-20261128-f1ca4e',3,'{"kind": "epoch", "attempt": 1, "epoch": 1, "total_epochs": 2, "loss": 0.5, "metrics": {"accuracy": 0.75}}',1.79583594639537835117e+09);
INSERT INTO "job_events" VALUES('tune-20261128-f1ca4e',4,'{"kind": "state", "attempt": 1, "state": "succeeded"}',1.79583594639984226231e+09);
INSERT INTO "job_events" VALUES('tune-20261128-c6173b',1,'{"kind": "state", "attempt": 1, "state": "queued"}',1.79583594640252327918e+09);
CREATE TABLE jobs (
	id VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	spec TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	started FLOAT, 
	ended FLOAT, 
	heartbeat FLOAT, 
	attempt INTEGER NOT NULL, 
	submission VARCHAR(96), 
	cancel_asked BOOLEAN NOT NULL, 
	error_reason VARCHAR(64), 
	error_message TEXT, 
	result_model VARCHAR(64), 
	metrics TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('tune-20261128-f1ca4e','succeeded','{"spec": {"model": "f3bd8a53e5a1429bf65115dbe0e7518427e178b0f6caf882fab8351af564bfc0", "data": "digits", "epochs": 2, "lr": 0.001, "batch_size": 32, "optimizer": "adamw", "loss": "cross_entropy", "workers": 1, "device": "cpu", "precision": "fp32", "strategy": "probe", "image_size": 32, "seed": 0}, "assumptions": ["2 epochs were assumed."]}',1.79583594636565446853e+09,1.79583594638778758049e+09,1.79583594639798760413e+09,1.79583594639541959756e+09,1,'tune-20261128-f1ca4e',0,NULL,NULL,'42816b5c527896ef797aed4f9d80ed1f9f2b7fda354749edbd0c38c9e2bc6690','{"accuracy": 0.75}');
INSERT INTO "jobs" VALUES('tune-20261128-c6173b','queued','{"spec": {"model": "10a88dbde1f2cf5dcbb70f61dd4ebd5d3c96bc2b2f8f2335b89388ba9c9d20ea", "data": "digits", "epochs": 2, "lr": 0.001, "batch_size": 32, "optimizer": "adamw", "loss": "cross_entropy", "workers": 1, "device": "cpu", "precision": "fp32", "strategy": "probe", "image_size": 32, "seed": 0}, "assumptions": []}',1.79583594640067934983e+09,NULL,NULL,NULL,1,NULL,0,NULL,NULL,NULL,'{}');
CREATE TABLE recipes (
	id VARCHAR(64) NOT NULL, 
	parent_id VARCHAR(64), 
	canonical TEXT NOT NULL, 
	notices TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "recipes" VALUES('bbda03fdd4893f22c1a9bd92387c68f965bd8051d67d0fec2488d319d63afd43',NULL,'{"base":{"name":"test_resnet","seed":0,"source":"timm","weights":null},"edits":[],"version":1}','timm/test_resnet starts from random weights.	timm/test_resnet 从随机权重开始。',1.79583594495355820656e+09);
INSERT INTO "recipes" VALUES('0fdcd18a046cf89c8052d68486e99d52c76d1ac63005f9c4c534962e6af9bc83','bbda03fdd4893f22c1a9bd92387c68f965bd8051d67d0fec2488d319d63afd43','{"base":{"name":"test_resnet","seed":0,"source":"timm","weights":null},"edits":[{"class_names":{"shared":"5f9c9234153ef60d628b1804f295796e2eff5c02a0de8712b45f825d2dd92318"},"classes":3,"draw":{"seed":"0917c946738bbb98118de05dec4012b1","tensors":[{"dtype":"float32","init":"uniform","name":"fc.weight","shape":[3,96],"value":0.10206207261596577,"zero_rows":[]},{"dtype":"float32","init":"uniform","name":"fc.bias","shape":[3],"value":0.10206207261596577,"zero_rows":[]}],"version":1},"heads":[{"after":3,"append":false,"before":1000,"in_features":96,"path":"fc","role":"main","type":"Linear"}],"op":"retarget","patches":[{"attribute":"num_classes","path":"","value":3}],"tensors":""}],"version":1}','',1.7958359460534038544e+09);
INSERT INTO "recipes" VALUES('f3bd8a53e5a1429bf65115dbe0e7518427e178b0f6caf882fab8351af564bfc0','0fdcd18a046cf89c8052d68486e99d52c76d1ac63005f9c4c534962e6af9bc83','{"base":{"name":"test_resnet","seed":0,"source":"timm","weights":null},"edits":[{"class_names":{"shared":"5f9c9234153ef60d628b1804f295796e2eff5c02a0de8712b45f825d2dd92318"},"classes":3,"draw":{"seed":"0917c946738bbb98118de05dec4012b1","tensors":[{"dtype":"float32","init":"uniform","name":"fc.weight","shape":[3,96],"value":0.10206207261596577,"zero_rows":[]},{"dtype":"float32","init":"uniform","name":"fc.bias","shape":[3],"value":0.10206207261596577,"zero_rows":[]}],"version":1},"heads":[{"after":3,"append":false,"before":1000,"in_features":96,"path":"fc","role":"main","type":"Linear"}],"op":"retarget","patches":[{"attribute":"num_classes","path":"","value":3}],"tensors":""},{"op":"freeze","paths":["conv1","bn1","layer1","layer2","layer3","layer4"],"trainable":false}],"version":1}','',1.79583594608064103133e+09);
INSERT INTO "recipes" VALUES('42816b5c527896ef797aed4f9d80ed1f9f2b7fda354749edbd0c38c9e2bc6690','f3bd8a53e5a1429bf65115dbe0e7518427e178b0f6caf882fab8351af564bfc0','{"base":{"name":"test_resnet","seed":0,"source":"timm","weights":null},"edits":[{"class_names":{"shared":"5f9c9234153ef60d628b1804f295796e2eff5c02a0de8712b45f825d2dd92318"},"classes":3,"draw":{"seed":"0917c946738bbb98118de05dec4012b1","tensors":[{"dtype":"float32","init":"uniform","name":"fc.weight","shape":[3,96],"value":0.10206207261596577,"zero_rows":[]},{"dtype":"float32","init":"uniform","name":"fc.bias","shape":[3],"value":0.10206207261596577,"zero_rows":[]}],"version":1},"heads":[{"after":3,"append":false,"before":1000,"in_features":96,"path":"fc","role":"main","type":"Linear"}],"op":"retarget","patches":[{"attribute":"num_classes","path":"","value":3}],"tensors":""},{"op":"freeze","paths":["conv1","bn1","layer1","layer2","layer3","layer4"],"trainable":false},{"class_names":{"shared":"5f9c9234153ef60d628b1804f295796e2eff5c02a0de8712b45f825d2dd92318"},"job":"tune-20261128-0a0b0c","metrics":[["accuracy",0.75]],"op":"tuned","tensors":"3882ea75edae1467d32f413d5653a5cbf13ca3fdf6353770af5ab26fc565f79f"}],"version":1}','',1.79583594612304306035e+09);
INSERT INTO "recipes" VALUES('ef43e509f650667cde9a8193486b08cb098eb9c281f27ee12077fff6a1f0ab72',NULL,'{"base":{"file":{"heads":[],"input_shape":[],"kind":"state_dict","name":"mine.pth","sha256":"3465faf7608c565617d0373aa808a6a59b1ef482fcdd42eb4603ff097ec86649","task":""},"name":"squeezenet1_1","seed":0,"source":"torchvision","weights":null},"edits":[],"version":1}','mine.pth holds 52 tensors and no structure; their names and shapes are those of squeezenet1_1, so it is drawn and built as that.	mine.pth 只含 52 个张量而没有结构；其名称和形状与 squeezenet1_1 一致，因此按该结构绘制和构建。',1.79583594620392608641e+09);
INSERT INTO "recipes" VALUES('10a88dbde1f2cf5dcbb70f61dd4ebd5d3c96bc2b2f8f2335b89388ba9c9d20ea','ef43e509f650667cde9a8193486b08cb098eb9c281f27ee12077fff6a1f0ab72','{"base":{"file":{"heads":[],"input_shape":[],"kind":"state_dict","name":"mine.pth","sha256":"3465faf7608c565617d0373aa808a6a59b1ef482fcdd42eb4603ff097ec86649","task":""},"name":"squeezenet1_1","seed":0,"source":"torchvision","weights":null},"edits":[{"class_names":[],"classes":4,"draw":{"seed":"a8d751c7e5093079322b30c1108eee55","tensors":[{"dtype":"float32","init":"uniform","name":"classifier.1.weight","shape":[4,512,1,1],"value":0.044194173824159216,"zero_rows":[]},{"dtype":"float32","init":"uniform","name":"classifier.1.bias","shape":[4],"value":0.044194173824159216,"zero_rows":[]}],"version":1},"heads":[{"after":4,"append":false,"before":1000,"in_features":512,"path":"classifier.1","role":"main","type":"Conv2d"}],"op":"retarget","patches":[{"attribute":"num_classes","path":"","value":4}],"tensors":""}],"version":1}','',1.79583594634768223762e+09);
CREATE TABLE requests (
	rpc VARCHAR(32) NOT NULL, 
	caller VARCHAR(64) NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	body VARCHAR(64) NOT NULL, 
	created FLOAT NOT NULL, 
	result TEXT NOT NULL, 
	events TEXT NOT NULL, 
	holder VARCHAR(32) NOT NULL, 
	held_until FLOAT NOT NULL, 
	PRIMARY KEY (rpc, caller, id)
);
INSERT INTO "requests" VALUES('StartTuning','3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0','first','e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',1.79583594636584520341e+09,'tune-20261128-f1ca4e','[]','',0.0);
CREATE TABLE shared_values (
	sha256 VARCHAR(64) NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO "shared_values" VALUES('5f9c9234153ef60d628b1804f295796e2eff5c02a0de8712b45f825d2dd92318','["cat","dog","emu"]');
CREATE TABLE turns (
	id INTEGER NOT NULL, 
	conversation_id VARCHAR(64) NOT NULL, 
	position INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	reply TEXT NOT NULL, 
	events TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (conversation_id, position), 
	FOREIGN KEY(conversation_id) REFERENCES conversations (id)
);
INSERT INTO "turns" VALUES(1,'0123456789abcdef0123456789abcdef',1,'show resnet50','{"kind": "plan", "language": "en", "steps": [{"show": {"model": "resnet50"}}]}','[{"finished": {"summary": "Here it is."}}]',1.79583594648691320422e+09);
INSERT INTO "turns" VALUES(2,'0123456789abcdef0123456789abcdef',2,'换成几类？','{"kind": "clarification", "language": "zh", "question": "换成几类？"}','[]',1.79583594649058485032e+09);
CREATE INDEX ix_recipes_parent_id ON recipes (parent_id);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_jobs_created ON jobs (created);
CREATE INDEX ix_requests_created ON requests (created);
CREATE INDEX turns_by_conversation ON turns (conversation_id, position);
COMMIT;
