use leasehold_checkers::history::History; use leasehold_checkers::verdict::Judgement; use std::path::*;
pub fn write_all(_:&History,_:&Judgement,_:&Path)->Result<Vec<PathBuf>,std::io::Error>{Ok(vec![])}
pub fn console(_:&History,j:&Judgement,_:bool,_:usize)->String{ let mut s=format!("{}\n", j.verdict); for a in &j.anomalies { s+=&format!("{:?} {:?} {}\n", a.kind, a.grade, a.explanation);} for (k,c) in &j.checkers { s+=&format!("{k}: {} {}\n", c.verdict, c.reason);} s}
