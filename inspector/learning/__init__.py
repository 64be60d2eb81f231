"""Lessons without a screen: how one is written (`lesson`, `verbs`, `ringfacts`, `marks`), one being followed
(`course`) and its pair (`bench`), its prose in lines (`prose`), what a learner wrote in the workshop
(`workbook`).

The lessons themselves are in `inspector/lessons`; `screens.lesson` shows them.
"""
