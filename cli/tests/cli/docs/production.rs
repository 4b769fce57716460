//! The production checklist: its checks pass where what it asks for is done.

use super::{at_work, insist, page, run};

#[test]
fn commands_of_the_checklist_print_the_shown_output() {
    let sandbox = at_work();
    let steps = page::steps(&page::read("production.md"));
    assert_eq!(steps.len(), 5);
    for step in steps {
        let output = insist(&run(&sandbox, &step.script, &[]));
        page::assert_shown(step.shown.as_deref().unwrap_or_default(), &output);
    }
}
