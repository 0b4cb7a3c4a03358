"""Callbacks for training frameworks, built on `Reporter`. Import the module of yours; no other one is imported."""
