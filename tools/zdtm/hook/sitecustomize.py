"""Read by python at its start (PYTHONPATH): programs of zdtm keep the ids of root, which is what flavour h, mode root means."""
import subprocess
_init = subprocess.Popen.__init__
def init(self, *args, **kwargs):
    env = kwargs.get('env')
    if env:
        kwargs['env'] = {k: v for k, v in env.items() if k not in ('ZDTM_UID', 'ZDTM_GID', 'ZDTM_GROUPS')}
    _init(self, *args, **kwargs)
subprocess.Popen.__init__ = init
