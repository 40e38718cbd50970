"""The documented chain on fifty spoken conversations, with servers on loopback for what is paid."""
