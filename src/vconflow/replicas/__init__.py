"""Several replicas on one port: a supervisor of processes, each of them a whole `vconflow serve`.

    supervisor   opens the port and Redis for all, obeys signals, ends with an exit code
    crew         so many replicas as are wanted; more and fewer while it runs
    keeper       one replica: started, watched, started again
    launch       one process, and the channel to it
    channel      what both sides say to each other
    member       the other side: a server that has a supervisor
    metrics      the metrics of all in one answer

They share one listening socket that the supervisor keeps open. So connections that nobody has
accepted yet outlive the replica that would have, and one whose event loop is stuck gets no new
ones. With SO_REUSEPORT each replica would have a queue of its own, which is lost when it dies; that
is for processes that have no supervisor in common (VCONFLOW_REUSE_PORT).
"""
