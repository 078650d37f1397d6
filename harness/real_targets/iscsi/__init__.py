"""What real iSCSI targets share: the initiator (libiscsi), exported backing files, the agent beside the target."""
