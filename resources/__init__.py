"""How to reach the outside: servers, snapshots, the lake and the warehouse file."""
