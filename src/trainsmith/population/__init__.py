"""Many members as one program: buckets, seeded luck, the step, packing, dropping members, the receipt."""

from trainsmith.population.calibrate import Packing, choose, cost_alone, seconds_alone, seconds_evaluated
from trainsmith.population.job import Job, Record, work
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.member import Member, make_member, trained_member
from trainsmith.population.members.objective import predictions
from trainsmith.population.members.task import COSTS, judged_by, rules_of
from trainsmith.population.packing import MOST, members_at_once, pack
from trainsmith.population.pool import processes_available, run_jobs
from trainsmith.population.population import Fit, Population
from trainsmith.population.program.bucket import bucket_key
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.chunk import Chunk, Unbatchable
from trainsmith.population.training.course import CHECKED_ON, FIRST_LOSSES, Result, Training, train
from trainsmith.population.training.verify import TOLERANCE

__all__ = [
    "CHECKED_ON",
    "COSTS",
    "FIRST_LOSSES",
    "MOST",
    "TOLERANCE",
    "Alone",
    "Chunk",
    "Fit",
    "Job",
    "Learner",
    "Member",
    "Packing",
    "Population",
    "Record",
    "Result",
    "Training",
    "Unbatchable",
    "bucket_key",
    "choose",
    "cost_alone",
    "judged_by",
    "make_member",
    "members_at_once",
    "pack",
    "predictions",
    "processes_available",
    "rules_of",
    "run_jobs",
    "seconds_alone",
    "seconds_evaluated",
    "train",
    "trained_member",
    "work",
]
