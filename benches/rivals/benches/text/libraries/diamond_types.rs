use diamond_types::{
    AgentId,
    list::{
        ListCRDT,
        encoding::{ENCODE_FULL, ENCODE_PATCH, EncodeOptions},
    },
};

use crate::{
    library::{Form, Library},
    trace::Step,
};

/// A log of operations with the text at its end. It has no times.
pub struct DiamondTypes {
    list: ListCRDT,
    agent: AgentId,
}

impl DiamondTypes {
    fn of(mut list: ListCRDT, author: usize) -> Self {
        let agent = list.get_or_create_agent_id(&format!("author {author}"));
        Self { list, agent }
    }
}

impl Library for DiamondTypes {
    const NAME: &'static str = "diamond-types";
    const PACKAGES: &'static [&'static str] = &["diamond-types"];
    const LOADED: Form = Form::Compact;

    fn new(author: usize) -> Self {
        Self::of(ListCRDT::new(), author)
    }

    fn act(&mut self, step: &Step) {
        for patch in &step.patches {
            if patch.removed > 0 {
                let range = patch.at..patch.at + patch.removed;
                self.list.delete_without_content(self.agent, range);
            }
            if !patch.inserted.is_empty() {
                self.list.insert(self.agent, patch.at, &patch.inserted);
            }
        }
    }

    fn act_and_send(&mut self, step: &Step) -> Vec<u8> {
        let before = self.list.oplog.local_version();
        self.act(step);
        self.list.oplog.encode_from(ENCODE_PATCH, &before)
    }

    fn receive(&mut self, updates: &[&[u8]]) {
        let ListCRDT { oplog, branch } = &mut self.list;
        for update in updates {
            oplog.decode_and_add(update).expect("the update is valid");
        }
        branch.merge(oplog, oplog.local_version_ref());
    }

    fn history(&mut self) -> Option<Vec<u8>> {
        Some(self.list.oplog.encode(ENCODE_PATCH))
    }

    fn text(&self) -> String {
        self.list.branch.content().to_string()
    }

    fn save(&mut self, form: Form) -> Option<Vec<u8>> {
        let compress_content = form == Form::Compact;
        Some(self.list.oplog.encode(EncodeOptions { compress_content, ..ENCODE_FULL }))
    }

    fn load(saved: &[u8], author: usize) -> Self {
        Self::of(ListCRDT::load_from(saved).expect("the saved document is valid"), author)
    }
}
