"""A visitor's lab report: what he guessed, measured and wrote, under the homeworks' questions."""

from core.report.questions import QUESTIONS, QuestionKey, question_of, question_text
from core.report.record import MOST_BYTES, Answer, Measurement, Report, read

__all__ = [
    "MOST_BYTES",
    "QUESTIONS",
    "Answer",
    "Measurement",
    "QuestionKey",
    "Report",
    "question_of",
    "question_text",
    "read",
]
