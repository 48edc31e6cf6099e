// Constraints and indexes of every kind that Community has. ODD stands for a strange name.
CREATE CONSTRAINT one_key FOR (n:Keyed) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT `two ``keys``` FOR (n:Keyed) REQUIRE (n.a, n.`b c`) IS UNIQUE;
CREATE CONSTRAINT on_rel FOR ()-[r:LINK]-() REQUIRE r.id IS UNIQUE;
CREATE CONSTRAINT odd_key FOR (n:ODD) REQUIRE n.ODD IS UNIQUE;
CREATE RANGE INDEX ranged FOR (n:Keyed) ON (n.x, n.y);
CREATE RANGE INDEX ranged_rel FOR ()-[r:LINK]-() ON (r.w);
CREATE TEXT INDEX texted FOR (n:Keyed) ON (n.name);
CREATE TEXT INDEX texted_rel FOR ()-[r:LINK]-() ON (r.name);
CREATE POINT INDEX pointed FOR (n:Keyed) ON (n.at)
  OPTIONS {indexConfig: {`spatial.cartesian.min`: [-100.0, -100.0], `spatial.cartesian.max`: [100.0, 100.0]}};
CREATE POINT INDEX pointed_rel FOR ()-[r:LINK]-() ON (r.at);
CREATE FULLTEXT INDEX full FOR (n:Keyed|Other|`We ird`) ON EACH [n.name, n.`full text`]
  OPTIONS {indexConfig: {`fulltext.analyzer`: 'german', `fulltext.eventually_consistent`: true}};
CREATE FULLTEXT INDEX full_rel FOR ()-[r:LINK|OTHER]-() ON EACH [r.name];
CREATE VECTOR INDEX near FOR (n:Keyed) ON (n.embedding) OPTIONS {indexConfig: {`vector.dimensions`: 3,
  `vector.similarity_function`: 'euclidean', `vector.quantization.enabled`: false, `vector.hnsw.m`: 8}};
CREATE VECTOR INDEX near_rel FOR ()-[r:LINK]-() ON (r.embedding);
DROP INDEX by_label;
CREATE LOOKUP INDEX `by ``label``` FOR (n) ON EACH labels(n);

UNWIND range(1, 40) AS i CREATE (:Keyed {id: i, a: i % 7, `b c`: i, name: 'n' + i, x: i, y: toString(i),
  at: point({x: i, y: -i}), embedding: [i, 0.5, -1.0 / i]});
MATCH (a:Keyed), (b:Keyed) WHERE b.id = a.id + 1 CREATE (a)-[:LINK {id: a.id, w: a.id / 3.0, at: a.at}]->(b);
// What no property tells apart: twins, twins of relationships, loops, and nodes of nothing.
UNWIND range(1, 3) AS i CREATE (t:Twin {n: 1})-[:SAME {w: 1}]->(t), (t)-[:SAME {w: 1}]->(t), (t)-[:SAME]->(t);
MATCH (a:Twin) WITH collect(a) AS t UNWIND [[0, 1], [0, 1], [1, 2]] AS p WITH t[p[0]] AS a, t[p[1]] AS b
  CREATE (a)-[:PAIR {w: [1, 2]}]->(b), (a)<-[:PAIR {w: [1, 2]}]-(b);
CREATE (), (), ({only: 'a property'});
CREATE (:ODD:`  `:`A:B`:`[:X]`:`(nodes)`:Ünï {ODD: 1, ` `: 2, `a.b`: 3, `$bytes`: 'x', id: 0, labels: 'l'});
MATCH (n:ODD) CREATE (n)-[:ODD {ODD: 'p'}]->(n)-[:`LI NK|:`]->(:Keyed:Other {id: 900});
WITH 'x' AS c CREATE (:Huge {s: reduce(s = c, i IN range(1, 21) | s + s), l: [i IN range(1, 100000) | i]});
CREATE CONSTRAINT named_late FOR (n:Late) REQUIRE n.id IS UNIQUE;
// An index of what is too long for it: the server says that it failed, and goes on without it.
CREATE RANGE INDEX `too long` FOR (n:Huge) ON (n.s);
